"""A dialect that nobody speaks: one folder, and one line in the app's list.

It has errors, stream events, ids and comments of its own, so that it sees whether the gateway
passes on anything of OpenAI's.
"""
