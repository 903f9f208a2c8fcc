"""The lungs and their zones, the disease in them, and where both lie in the radiograph."""
