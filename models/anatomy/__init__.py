"""Lungs, their zones, what is diseased in them, and where that lies in the radiograph."""
