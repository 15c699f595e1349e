"""Pamps, a microblog service."""
