"""OCPP 2.0.1. `dialect` puts it together: `calls`, `transactions` and `reports` go out, `requests` come in, `values` is
how tokens, places, variables and meter values are written.
"""
