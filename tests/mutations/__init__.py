"""Mutations: the promise broken on purpose, one sentence at a time, to show that the suite notices."""
