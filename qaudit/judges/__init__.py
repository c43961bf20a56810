"""The judges: a reply -> refusal, partial, compliance, incoherent or empty, offline and with a reason."""
