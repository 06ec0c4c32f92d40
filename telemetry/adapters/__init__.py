"""What ``telemetry.ports`` look like on AWS and in memory."""
