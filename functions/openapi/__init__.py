"""The HTTP interface described: every operation with what it takes and what it answers.

Imported only when the description is asked for. Bodies are the very types that the endpoints
decode; answers are the records they send, or shapes that the tests hold every answer against.
"""
