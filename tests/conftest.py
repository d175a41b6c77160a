from hypothesis import HealthCheck, settings

settings.register_profile("mixedbayes", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("mixedbayes")
