// Adds documents straight to Kafka and reads them back: a client that sees its own writes, without a library of ours.
package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type document struct {
	Collection string         `json:"collection"`
	DocumentID string         `json:"document_id"`
	Text       string         `json:"text"`
	Title      string         `json:"title,omitempty"`
	Metadata   map[string]any `json:"metadata,omitempty"`
}

// record is the document as a CloudEvent in Kafka's binary mode: attributes in headers, data in the value.
func record(d document) *kgo.Record {
	value, err := json.Marshal(d)
	if err != nil {
		log.Fatal(err)
	}
	header := func(key, value string) kgo.RecordHeader { return kgo.RecordHeader{Key: key, Value: []byte(value)} }
	return &kgo.Record{
		Topic: "documents",
		Key:   []byte(d.Collection + "/" + d.DocumentID),
		Value: value,
		Headers: []kgo.RecordHeader{
			header("ce_specversion", "1.0"),
			header("ce_id", rand.Text()),
			header("ce_source", "/examples/go"),
			header("ce_type", "nenrin.document.added.v1"),
			header("content-type", "application/json"),
		},
	}
}

// token is the version that covers what was acknowledged: the next offset of each partition.
func token(written []*kgo.Record) string {
	next := map[string]int64{}
	for _, r := range written {
		partition := strconv.Itoa(int(r.Partition))
		next[partition] = max(next[partition], r.Offset+1)
	}
	version, err := json.Marshal(map[string]any{"v": 1, "o": map[string]any{"documents": next}})
	if err != nil {
		log.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(version)
}

// read gets a document as it is at the version of the token or later, waiting up to 30 seconds for it.
func read(collection, id, token string) (text string, err error) {
	address := os.Getenv("NENRIN_QUERY") + "/v1/collections/" + collection + "/documents/" + url.PathEscape(id)
	request, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Nenrin-At-Least", token)
	request.Header.Set("Prefer", "wait=30")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var answer struct{ Document document }
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", address, response.Status)
	}
	err = json.NewDecoder(response.Body).Decode(&answer)
	return answer.Document.Text, err
}

func main() {
	client, err := kgo.NewClient( // its partitioner is murmur2 of the key, and it waits for all in-sync replicas
		kgo.SeedBrokers(strings.Split(os.Getenv("NENRIN_KAFKA"), ",")...),
		kgo.RecordDeliveryTimeout(30*time.Second),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	var records []*kgo.Record
	ids := []string{"oak", "年輪/第一章", "été à Orléans", "a/b?c#d", "🌲", "50%25"}
	for _, id := range ids {
		records = append(records, record(document{"from-go", id, "Written in Go: " + id, "Go", map[string]any{"lang": "go"}}))
	}
	if err := client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		log.Fatal(err)
	}
	written := token(records) // the client has filled in partitions and offsets
	for _, id := range ids {
		text, err := read("from-go", id, written)
		if err != nil {
			log.Fatal(err)
		}
		if text != "Written in Go: "+id {
			log.Fatalf("%s reads %q", id, text)
		}
	}
	fmt.Println(written)
}
