"""Engines are guests: each is imported in one thin file here, lazily."""
