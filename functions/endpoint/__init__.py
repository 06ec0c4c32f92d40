"""One version of one model as a long-lived server: for models that need a GPU or gigabytes of memory.

The same codec, routes and errors as the Lambda function, in a container that SageMaker and EC2 both run.
"""
