"""What panels ask Prometheus, in the few forms that come again and again."""

from authz_service.alerting.panels import Query


def of_programmes(metric: str, *by: str, **labels: str) -> str:
    """The gauge of the chosen programmes, once, however many instances tell it."""
    matchers = ",".join(['programme=~"$programme"', *(f'{key}="{value}"' for key, value in labels.items())])
    return f"max by ({', '.join(('programme', *by))}) ({metric}{{{matchers}}})"


def per_minute(metric: str, by: str, *matchers: str) -> str:
    return f"sum by ({by}) (rate({metric}{{{','.join(matchers)}}}[$__rate_interval])) * 60"


def quantile_of(quantile: float, metric: str, *by: str, matchers: str = "") -> str:
    rates = f"rate({metric}{matchers}[$__rate_interval])"
    return f"histogram_quantile({quantile}, sum by ({', '.join(('le', *by))}) ({rates}))"


def limit_of(slo: str) -> Query:
    return Query(
        expr=f'max(authz_slo_latency_limit_seconds{{slo="{slo}_latency"}})', legend=f"limit of {slo}", is_limit=True
    )
