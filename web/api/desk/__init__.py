"""The finance desk for programs: price rules as code. docs/price-rules-as-code.md teaches it.

Each call is one that a page of the desk makes too, over the same services, by a key of somebody at the desk.
"""
