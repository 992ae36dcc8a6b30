"""Films, windows and curves: what people look at."""
