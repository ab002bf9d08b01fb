"""The alternatives that storepulse is measured against, each a program of its own that shares no code with it."""
