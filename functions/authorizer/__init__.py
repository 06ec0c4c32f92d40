"""Whose tokens a REST API takes: what an HTTP API's JWT authorizer does by itself, as a function (ADR 63).

Standard library alone: it starts in front of a caller's first request, and RSA signatures are verified with
``pow``. No log line and no error of it names a token or anything that stood in one.
"""
