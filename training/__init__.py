"""WHERE MODELS COME FROM: data, fit, export, optimise, tune. torch lives here and nowhere else.

Imports model_store and no other room. Nothing that serves imports this one.
"""
