"""From records to tables; nothing here trains."""
