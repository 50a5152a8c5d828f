"""One accepted request, from its name to its last byte.

What it may and for how long is `admission`; it goes through the queue by `submission`, and its
`answer` goes to the client by `stream`.
"""
