"""Ask and record, never judge: what goes to an engine, and what comes back as plain records."""
