"""What a model needs, and what that costs: measured here, priced from a dated table.

``measure`` runs the model as the function runs it, in a process of its own per number of threads;
``sizing`` turns what was measured, a load and the prices into options; ``prices`` reads the table.
"""
