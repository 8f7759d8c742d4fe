//! Subscriptions of a connection: made, given credit, parked.

use super::connection::{Connection, SCOPE_INTERNAL, SubscriptionRef};
use super::destination::Consumer;
use super::{Shard, batches};
use crate::client_frame::{Subscribe, decode_credit, decode_subscribe};
use crate::daemon_frame::write_ok;
use crate::error::Code;
use crate::exchange::GatewayKind;
use crate::limits;

type Refusal = (Code, String);

impl Shard {
    pub(super) fn subscribe(&mut self, connection: u32, frame: &[u8]) {
        let request = match decode_subscribe(frame) {
            Ok(request) => request,
            Err(error) => return self.replies.frame_error(connection, &error),
        };
        let (place, gateway) = match self.place_of_subscription(connection, &request) {
            Ok(place) => place,
            Err((code, message)) => {
                let id = request.id;
                return self
                    .replies
                    .error(connection, id, code.number(), &message, None, None);
            }
        };
        let destination = &mut self.destinations[place as usize];
        let lane = gateway.map_or(0, |gateway| {
            destination.lane_of(gateway, self.gateways.at(gateway))
        });
        let client = self
            .connections
            .get_mut(&connection)
            .expect("checked by `frame`");
        client.subscriptions.push(SubscriptionRef {
            number: request.subscription,
            destination: place,
        });
        let parked = client.parked;
        self.destinations[place as usize].consumers.push(Consumer {
            connection,
            number: request.subscription,
            credit: request.credit,
            parked,
            lane,
            rest_until_us: 0,
            slowed: None,
            late: false,
            last_served: 0,
            frame: batches::NONE,
            frame_exchange: 0,
        });
        self.list(place);
        if request.id > 0 {
            self.reply(connection, |out| write_ok(out, request.id));
        }
    }

    /// The destination of a new subscription, and its gateway if it names one.
    fn place_of_subscription(
        &self,
        connection: u32,
        request: &Subscribe<'_>,
    ) -> Result<(u32, Option<u32>), Refusal> {
        let client = &self.connections[&connection];
        let name = request.destination;
        let known = self.destination_names.get(name.as_bytes()).copied();
        let place = known
            .filter(|&place| self.destinations[place as usize].exists)
            .ok_or_else(|| {
                let message = format!("there is no destination \"{name}\"");
                (Code::UnknownDestination, message)
            })?;
        if client.subscription(request.subscription).is_some() {
            let message = format!("subscription {} is in use", request.subscription);
            return Err((Code::SubscriptionInUse, message));
        }
        let full = |who: &str, most: usize| {
            let message = format!("a {who} has at most {most} subscriptions");
            Err((Code::TooManySubscriptions, message))
        };
        if client.subscriptions.len() >= limits::SUBSCRIPTIONS_PER_CONNECTION {
            return full("connection", limits::SUBSCRIPTIONS_PER_CONNECTION);
        }
        let consumers = self.destinations[place as usize].consumers.len();
        if consumers >= limits::SUBSCRIPTIONS_PER_DESTINATION {
            return full("destination", limits::SUBSCRIPTIONS_PER_DESTINATION);
        }
        if request.credit > limits::CREDIT_MAX {
            let message = format!("credit {} is above {}", request.credit, limits::CREDIT_MAX);
            return Err((Code::CreditTooLarge, message));
        }
        let gateway = request.gateway;
        let gateway = gateway.map(|gateway| self.gateway_for(client, name, gateway));
        Ok((place, gateway.transpose()?))
    }

    /// The gateway of that name, if it takes messages of the destination and the connection may be it:
    /// any may that consumes, but webhooks and SMPP are the daemon's own.
    fn gateway_for(
        &self,
        client: &Connection,
        destination: &str,
        name: &str,
    ) -> Result<u32, Refusal> {
        let refuse = |why: String| Err((Code::UnknownGateway, why));
        let Some(place) = self.gateways.find(name) else {
            return refuse(format!("there is no gateway \"{name}\""));
        };
        let gateway = self.gateways.at(place);
        if gateway.kind != GatewayKind::Pull && client.scopes & SCOPE_INTERNAL == 0 {
            let message =
                format!("gateway \"{name}\" is not of the type pull: the daemon serves it");
            return refuse(message);
        }
        if !gateway.names(destination) {
            let message = format!("gateway \"{name}\" has no destination \"{destination}\"");
            return refuse(message);
        }
        Ok(place)
    }

    pub(super) fn credit(&mut self, connection: u32, frame: &[u8]) {
        let request = match decode_credit(frame) {
            Ok(request) => request,
            Err(error) => return self.replies.frame_error(connection, &error),
        };
        let Some(subscription) = self
            .connections
            .get(&connection)
            .and_then(|client| client.subscription(request.subscription))
        else {
            return self.reply_unknown_subscription(connection, request.id, request.subscription);
        };
        let consumer = self.destinations[subscription.destination as usize]
            .consumer_mut(connection, subscription.number)
            .expect("a subscription has its consumer");
        let credit = consumer.credit.saturating_add(request.add);
        if credit > limits::CREDIT_MAX {
            let message = format!(
                "credit {} + {} is above {}",
                consumer.credit,
                request.add,
                limits::CREDIT_MAX
            );
            let code = Code::CreditTooLarge.number();
            return self
                .replies
                .error(connection, request.id, code, &message, None, None);
        }
        consumer.credit = credit;
        self.list(subscription.destination);
        if request.id > 0 {
            self.reply(connection, |out| write_ok(out, request.id));
        }
    }

    pub(super) fn reply_unknown_subscription(&mut self, connection: u32, id: u32, number: u32) {
        let message = format!("this connection has no subscription {number}");
        let code = Code::UnknownSubscription.number();
        self.replies
            .error(connection, id, code, &message, None, None);
    }

    pub(super) fn set_parked(&mut self, connection: u32, parked: bool) {
        let Some(client) = self.connections.get_mut(&connection) else {
            return;
        };
        client.parked = parked;
        for subscription in client.subscriptions.clone() {
            let consumers = &mut self.destinations[subscription.destination as usize].consumers;
            for consumer in consumers {
                if consumer.connection == connection {
                    consumer.parked = parked;
                }
            }
            self.list(subscription.destination);
        }
    }
}
