import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;
import java.util.stream.Collectors;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.StringSerializer;

import static java.nio.charset.StandardCharsets.UTF_8;

/** Adds documents straight to Kafka and reads them back: a client that sees its own writes, without a library of ours. */
public class Produce {
    static final String COLLECTION = "from-java";
    static final List<String> IDS = List.of("oak", "年輪/第一章", "été à Orléans", "a/b?c#d", "🌲", "50%25");

    /** The document as a CloudEvent in Kafka's binary mode: attributes in headers, data in the value. */
    static ProducerRecord<String, String> record(String id) {
        // the ids of this example need no escaping in JSON; use a JSON library for yours
        var data = """
            {"collection": "%s", "document_id": "%s", "text": "Written in Java: %s", "metadata": {"lang": "java"}}
            """.formatted(COLLECTION, id, id);
        var record = new ProducerRecord<>("documents", COLLECTION + "/" + id, data);
        Map.of(
            "ce_specversion", "1.0",
            "ce_id", UUID.randomUUID().toString(),
            "ce_source", "/examples/java",
            "ce_type", "nenrin.document.added.v1",
            "content-type", "application/json"
        ).forEach((name, value) -> record.headers().add(name, value.getBytes(UTF_8)));
        return record;
    }

    /** The version that covers what was acknowledged: the next offset of each partition. */
    static String token(List<RecordMetadata> places) {
        var next = new TreeMap<Integer, Long>();
        places.forEach(place -> next.merge(place.partition(), place.offset() + 1, Math::max));
        var offsets = next.entrySet().stream()
            .map(each -> "\"%d\":%d".formatted(each.getKey(), each.getValue()))
            .collect(Collectors.joining(","));
        var version = "{\"v\":1,\"o\":{\"documents\":{%s}}}".formatted(offsets);
        return Base64.getUrlEncoder().withoutPadding().encodeToString(version.getBytes(UTF_8));
    }

    /** The answer with a document as it is at the version of the token or later, waiting up to 30 seconds for it. */
    static String read(HttpClient client, String id, String token) throws Exception {
        var encoded = URLEncoder.encode(id, UTF_8).replace("+", "%20");
        var address = "%s/v1/collections/%s/documents/%s".formatted(System.getenv("NENRIN_QUERY"), COLLECTION, encoded);
        var request = HttpRequest.newBuilder(URI.create(address))
            .header("Nenrin-At-Least", token).header("Prefer", "wait=30").build();
        var answer = client.send(request, BodyHandlers.ofString(UTF_8));
        if (answer.statusCode() != 200) throw new IllegalStateException(address + ": " + answer.body());
        return answer.body();
    }

    public static void main(String[] arguments) throws Exception {
        Map<String, Object> settings = Map.of("bootstrap.servers", System.getenv("NENRIN_KAFKA"), "acks", "all");
        var places = new ArrayList<RecordMetadata>();
        // keyed records go where murmur2 of the key says: that is Java's default
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            var sent = IDS.stream().map(Produce::record).map(producer::send).toList();
            for (var each : sent) places.add(each.get());
        }
        var written = token(places);
        var client = HttpClient.newHttpClient();
        for (var id : IDS) {
            if (!read(client, id, written).contains("Written in Java: " + id)) throw new IllegalStateException(id);
        }
        System.out.println(written);
    }
}
