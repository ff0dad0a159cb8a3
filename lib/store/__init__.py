"""Where cooldowns, rotated tokens and responses survive between instances: `lib.types.Store`, several times."""
