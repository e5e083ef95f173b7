"""The calls, a module a resource: parse, ask, phrase. No logic lives here."""
