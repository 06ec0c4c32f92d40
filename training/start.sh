# What a job's container runs once its code is unpacked: the image keeps its torch, the rest is installed at
# the pinned versions; then one step of the pipeline. An image that has everything says so.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${SWITCHYARD_PACKAGES:-}" != installed ]; then
  grep -v '^torch==' requirements-train.txt > /tmp/requirements.txt
  python3 -m pip install --quiet -r /tmp/requirements.txt -c constraints.txt boto3 onnx onnxruntime pydantic
fi
export PYTHONPATH="$PWD"
exec python3 -m training.job "$@"
