"""OCPP 1.6-J (edition 2, errata of 2025-04). `dialect` puts it together: `calls` and `transactions` go out, `requests`
come in, `keys` are the configuration keys over the device model, `values` is how tokens and meter values are written.
"""
