"""What the registers say of firms, stations, laboratories, and what is still to be answered."""
