"""What operators are told of, as rows: each alert with its reason, and with what must and must not set it off.

Nothing here runs in the service. `python -m authz_service.alerting` writes `deploy/prometheus`, `deploy/grafana`,
`docs/slo.md` and the heads of `docs/runbooks` from it; tests compare them byte for byte.
"""
