"""What the authorizer asks issuers through."""
