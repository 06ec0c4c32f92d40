"""WHAT A MODEL IS: immutable, numbered versions of named models in a write-once store.

This package stays empty on purpose: ``model_store.contract`` travels into Lambda, and importing it
must not pull in a cloud library.
"""
