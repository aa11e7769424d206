"""Operations on boxes, regions and grids: what a network computes beyond torch.nn."""
