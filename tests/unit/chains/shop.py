"""A small catalog of its own, as a user writes it."""

CATALOG = """
source: shop
events:
  omninode.shop.order.placed.v1:
    payload:
      amount: {type: integer, min: 1, max: 9}
  omninode.shop.order.paid.v1: {}
chains:
  order:
    weight: 50
    start: placed
    states:
      placed: {emits: omninode.shop.order.placed.v1, next: [{to: paid, delay: {fixed: 5}}]}
      paid: {emits: omninode.shop.order.paid.v1, outcome: completed}
"""
