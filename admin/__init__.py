"""The service for those who run a deployment, a process with a login token of its own.

It knows the contract and the store, and neither gateways nor workers. It has an API for keys.
"""
