"""The saboteurs, by what they break: weights that an engine leaves, works that it does, data that a test looks at."""
