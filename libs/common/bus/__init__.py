"""The bus: one port (`base`), two implementations (`memory`, `rabbit`), the topology as data, typed dispatch (`router`)."""
