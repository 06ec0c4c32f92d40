"""The Lambda function in front of a heavy model: same doors, same answers, and the model is elsewhere."""
