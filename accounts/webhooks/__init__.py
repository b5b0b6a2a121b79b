"""Webhooks out: what a company asked to be told is written with what happened, and sent after it, at least once.

`outbox.announce` writes messages in the transaction of the event; `delivery` sends them; `service` is what programs and
pages call.
"""
