"""Options that several commands share, by subject, and what their values stand for."""
