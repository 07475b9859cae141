"""The hardware, simulated: what stands behind the agent's ports in tests, in the demo and on a desk.

    plan                 what there is to simulate, as plain values
    car, controller, meter, noise -> charging_point -> world
                         the physical world; pure, time is an argument
    registers, devices   the world as Modbus registers, through the drivers' own maps; pure
    verbs                what a hand can do to it, as a table; pure
    pdu, port, server, readers
                         real Modbus and real card frames on pseudo-terminals and sockets
    hardware, client     all of it running, and the socket to drive it

On a virtual clock take `World`, `build_devices` and `Hands`, and call `SimDevice.read` and `write` yourself.
"""
