"""An AWS on a laptop: starts, finds, fills and stops the embedded cloud.

Nothing in the other rooms knows that it exists; they see an endpoint in the environment, as the AWS
libraries do. ``cloud`` is the process, ``deploy`` runs the CDK against it, ``extension`` runs inside it.
"""
