# The image of `[stages.X.training.spark]`: EMR's own, with a Python that the project runs on and what the data step needs.
# docker build -f training/data/spark.Dockerfile -t ACCOUNT.dkr.ecr.REGION.amazonaws.com/switchyard-spark:7.11.0 .
FROM public.ecr.aws/emr-serverless/spark/emr-7.11.0:latest
USER root
RUN dnf install -y python3.11 python3.11-pip && dnf clean all
COPY constraints.txt /tmp/constraints.txt
RUN python3.11 -m pip install --no-cache-dir -c /tmp/constraints.txt \
    boto3 narwhals numpy "pandera[polars]" pillow polars pyarrow pydantic
USER hadoop:hadoop
