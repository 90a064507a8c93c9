"""Entrypoints that are no figures."""
