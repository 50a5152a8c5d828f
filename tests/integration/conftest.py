from tests.support.deployment import deployment, redis, redis_server

__all__ = ["deployment", "redis", "redis_server"]
