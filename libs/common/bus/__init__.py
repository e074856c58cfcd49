"""The bus: one port (`base`), two implementations (`memory`, `rabbit`), topology as data, and dispatch (`router`)."""
