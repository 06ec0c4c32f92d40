"""The queues of one model: requests, their answers, and what could not be answered."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_sqs as sqs
from constructs import Construct

ATTEMPTS = 3
KEPT_DAYS = 14
"""SQS's longest."""

VISIBILITY_FACTOR = 6
"""Of the function's timeout, as AWS advises (Lambda developer guide, "Using Lambda with Amazon SQS")."""


class ModelQueues(Construct):
    """``requests``, ``answers`` and ``dead_letters``; encrypted, and spoken to over TLS only."""

    def __init__(self, scope: Construct, id_: str, *, timeout_s: int) -> None:
        super().__init__(scope, id_)
        self.dead_letters = self._queue("DeadLetters")
        self.answers = self._queue("Answers")
        self.requests = self._queue(
            "Requests",
            visibility_timeout=cdk.Duration.seconds(timeout_s * VISIBILITY_FACTOR),
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=ATTEMPTS),
        )

    def _queue(
        self,
        id_: str,
        *,
        visibility_timeout: cdk.Duration | None = None,
        dead_letter_queue: sqs.DeadLetterQueue | None = None,
    ) -> sqs.Queue:
        return sqs.Queue(
            self,
            id_,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=cdk.Duration.days(KEPT_DAYS),
            visibility_timeout=visibility_timeout,
            dead_letter_queue=dead_letter_queue,
        )
