"""What dialects share, and pure: reading a request's content, and rendering an answer's.

Nothing here speaks any of the dialects.
"""
