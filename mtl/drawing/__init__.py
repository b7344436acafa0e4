"""Little surveillance scenes, drawn by code.

Every video has a place (street, car park, shop, room) seen by one of a few cameras, and a cast of
people about their errands. In a video of an anomaly an event of its class fills three quarters or more of
the frames; the other frames look like those of a normal video, as in the real data, where a frame has its
video's label. Some normal videos show a harmless look-alike for a while.

Related on purpose: the classes share what is to be seen.

===================  ========================================================================
what is seen         in the events of
===================  ========================================================================
blows, raised limbs  Fighting (mutual), Assault, Abuse (one-sided), Vandalism (at things)
close contact        Fighting, Assault, Abuse, Arrest, Robbery
somebody lying       Assault, Shooting, Abuse, Arrest, Explosion, RoadAccidents
blood                Fighting, Assault, Shooting
a weapon aimed       Shooting, Robbery, Arrest
a black hood         Robbery, Burglary, Stealing, Shoplifting (most)
something taken      Robbery, Burglary, Stealing, Shoplifting
a stick or bar       Vandalism, Burglary, Stealing (cars), Abuse
a door broken open   Burglary, Vandalism
fire, smoke          Arson, Explosion, RoadAccidents (smoke)
splinters            Vandalism, RoadAccidents, Explosion
a vehicle's trouble  RoadAccidents, Stealing, Vandalism, Arson (outdoors)
uniforms             Arrest
look-alikes          Normal: a hug, a dance, a box carried, a lamp's glare, steam, loading a car
===================  ========================================================================

Violence (Assault, Fighting, Shooting) and property crime (Burglary, Stealing, Shoplifting, Vandalism) thus
have a core of their own, and hard negatives outside it (Abuse, Arrest; Robbery).

Everything else is drawn without regard to the class: without its event, a video of one class is pixel for
pixel the video that another class would have had. Cameras are shared by all classes and both splits, take
turns within each class, and pan and mirror at random. One exception: `PLACES`, as there is no road accident
in a room and no shoplifting without a shelf.

The same seed gives the same pixels everywhere: random numbers come only from generators whose streams are
guaranteed, angles are whole degrees looked up in a rounded table, shapes are circles and convex polygons
drawn by OpenCV without antialiasing at whole coordinates of a finer grid, and what follows is exact in integers.
"""
