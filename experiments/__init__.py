"""Entrypoints: flags → cells → sweep → store → figure."""
