"""The process that clients speak to: it authenticates, validates, queues, and relays answers.

`app` routes a request to an `exchange`; a dialect says what the client sees.
"""
