"""Meters that sign what they have counted (`SignsMeterData`): one file a meter, and the text format that they share."""
