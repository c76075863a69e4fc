"""Where visits happen: locations with their own clock and opening hours, rooms and devices that can be booked."""
